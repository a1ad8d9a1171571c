"""spark-submit jobs/words.py intent --config conf/demo.yaml --text "where is my parcel?" """

from behavior_spark.cli.job import run_job

if __name__ == "__main__":
    run_job("words")
