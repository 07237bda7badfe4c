"""An example of Depo on the terminal."""

from tasks.command import main
from tasks.depo import Depo

if __name__ == "__main__":
    main(Depo)
