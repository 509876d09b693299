"""Contracts: what everything that a search space can name must hold, ours and yours.

    for outcome in outcomes("MyNet", TrainableCase(MyNet, {"width": 64}, corpus), TRAINABLE):
        print(outcome)

`orchestrate check FILE` does that with a file of one's own.
"""
