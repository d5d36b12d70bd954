"""What a program that uses bmtas calls: inference, export, reports."""
