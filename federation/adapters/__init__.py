"""Other people's formats and frameworks: OEDISI, ONM, emitted launch files."""
