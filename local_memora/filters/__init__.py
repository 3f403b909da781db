"""Filter expressions: text -> a tree -> a tree checked against a schema."""
