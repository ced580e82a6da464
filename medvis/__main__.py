"""`python -m medvis` is `medvis`."""

from medvis.cli.main import main

if __name__ == "__main__":
    main()
