"""Contracts: checks that every trainable, loss, normalization, phase and corpus must pass, shipped ones and yours.

    for outcome in check_promises("MyNet", TrainableCase(MyNet, {"width": 64}, corpus), TRAINABLE):
        print(outcome)

`orchestrate check FILE` runs them on a file of yours.
"""
