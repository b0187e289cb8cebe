"""What people see: templates, words in two languages, one style sheet, one small script."""
