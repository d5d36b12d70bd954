"""What a program that uses bmtas calls: inference, export, pictures of a run, reports."""
