"""What is known about the microscope: pure functions, tensors in and tensors out."""
