"""Contracts: checks that every trainable, loss, normalization, phase and corpus must pass, shipped ones and yours.

    for check in list_checks("MyNet", TrainableCase(MyNet, {"width": 64}, corpus), TRAINABLE):
        print(check.run())

`orchestrate check FILE` runs them on a file of yours.
"""
