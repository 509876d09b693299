"""The machines of a Ray cluster: its address, what each machine has, and whether trials may run there."""
