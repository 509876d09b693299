"""The best trial of a sweep outside of it: exported, registered, served."""
