"""One Memora for a class: a key and a project for each student, and a page for the teacher."""
