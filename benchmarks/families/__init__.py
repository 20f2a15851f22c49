"""Every family of vision-language models through all kinds of stages, by tiny models of the real classes."""
