"""The small vision-language model that is trained: loaded, adapted, saved, checked; and a tiny one for tests and rehearsals."""
