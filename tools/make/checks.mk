# Checks of form: layers, style, format, lint.
