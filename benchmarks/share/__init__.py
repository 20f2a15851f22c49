"""What it costs to look at a large run and to share it: curating, report, viewer, exports and the Hub."""
