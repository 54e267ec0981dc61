"""``python -m deepwriting`` is the same as ``deepwriting``."""

from deepwriting.cli import main

if __name__ == "__main__":
    main()
