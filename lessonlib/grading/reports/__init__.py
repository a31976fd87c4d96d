"""What instructors and students read afterwards: feedback pages, exports, likeness of answers, what to teach again."""
