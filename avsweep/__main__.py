"""`python -m avsweep` is `orchestrate`, also where the environment's `bin` folder is not on the path."""

from avsweep import main

main()
