"""`cotforge view`: a run in a browser, served on this machine alone; what a person answers there is saved as gold.

`serving` starts it, for the command and for Python.
"""
