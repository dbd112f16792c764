"""What is composed of proofs and recourses: affine answers, and the rules that a plan carries."""
