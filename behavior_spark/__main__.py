"""``python -m behavior_spark``: the command line."""

from behavior_spark.cli.main import main

if __name__ == "__main__":
    main()
