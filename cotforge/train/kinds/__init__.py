"""The kinds of stages, a module each: `train(stage, work)` leaves the student's weights (`eval` leaves none)."""
