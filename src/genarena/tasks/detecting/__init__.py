"""Detection of anomalies: the sets that are told apart, scores of a model by its capabilities, floors, and their records.

Every score is higher for what is more anomalous. What is fitted is fitted on training or validation
examples of the run's data.
"""
