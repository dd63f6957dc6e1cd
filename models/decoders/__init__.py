"""The decoder family: sound and who speaks when in it -> each speaker's words. One interface, several kinds."""
