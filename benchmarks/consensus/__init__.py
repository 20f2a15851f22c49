"""The rules of consensus beside other people's, on worlds whose truth is known."""
