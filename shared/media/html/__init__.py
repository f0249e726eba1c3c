"""Reading HTML for the media it shows. Pure, in linear time; run in the confined child process."""
