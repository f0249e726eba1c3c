"""File formats as browsers read them, where they read more leniently than our decoders. Pure; runs in the confined child alone."""
