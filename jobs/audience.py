"""spark-submit jobs/audience.py buyers --config conf/demo.yaml --as-of 2024-05-30 -o buyers.csv"""

from behavior_spark.cli.job import run_job

if __name__ == "__main__":
    run_job("audience")
