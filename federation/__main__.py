"""``python -m federation`` is the ``gridproof`` command."""

from federation.cli.main import main

if __name__ == "__main__":
    main()
