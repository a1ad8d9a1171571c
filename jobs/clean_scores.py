"""spark-submit jobs/clean_scores.py --config conf/demo.yaml --unused-days 400"""

from behavior_spark.cli.job import run_job

if __name__ == "__main__":
    run_job("clean-scores")
