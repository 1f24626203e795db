"""Linear observations y = A x + sigma n, n ~ N(0, I): operators A with closed forms, and the problem to solve.

Each operator has A, its adjoint A^T, its pseudo-inverse A^+ and (A A^T + c I)^-1 in closed form. Degradations name an operator
and a noise level.
"""
