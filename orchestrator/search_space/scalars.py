"""The type of a parameter's value; apart from `domains`, so that reading a sweep's log imports no pydantic."""

Value = str | int | float | bool
