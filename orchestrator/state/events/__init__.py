"""The events of a sweep log: a class for each kind, which says what its lines hold and how it changes the state.

A new kind of event is a new class in the module of its subject. Its name in the log is that of the class in lower case,
unless it has a `KIND`. `event_lines` writes and reads events; a module for another subject is added there.
"""
