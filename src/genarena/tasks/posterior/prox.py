"""The likelihood of y with a Gaussian N(center, spread^2 I) around a point: its mode and its draws, in closed form."""

from torch import Tensor

from genarena.tasks.linear.problem import Problem


def mode(problem: Problem, center: Tensor, ratio: float) -> Tensor:
    """argmin_x |y - A x|^2 + ratio |x - center|^2 (N, *shape), ratio = (sigma / spread)^2; with 0 the nearest x of the smallest
    |y - A x|."""
    operator = problem.operator
    return center + operator.adjoint(operator.solve(problem.residual(center), ratio))


def draw(problem: Problem, center: Tensor, spread: float) -> Tensor:
    """x (N, *shape) ~ N(x; center, spread^2 I) N(y; A x, sigma^2 I) / Z, by Matheron's rule (`closed_form.py`)."""
    operator = problem.operator
    x = center + spread * problem.noise.normal(center)
    n = problem.noise.normal(problem.y) * operator.observed.to(problem.y.device)
    right = problem.residual(x) - problem.sigma * n
    return x + operator.adjoint(operator.solve(right, (problem.sigma / spread) ** 2))
