"""Customer service: what texts need, how urgent they are, who answers them, and with what."""
