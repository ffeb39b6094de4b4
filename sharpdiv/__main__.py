"""``python -m sharpdiv`` is the command line."""

from sharpdiv.cli.main import main

if __name__ == "__main__":
    main()
