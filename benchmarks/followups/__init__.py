"""What rescue, verification and weaving add to the lessons of a plain vote, on data whose truth is known."""
