"""Views: parts of a picture that may be the picture looked for, within a border, under a caption, in a collage, turned a little. Pure."""
