"""spark-submit jobs/check_labels.py --config conf/demo.yaml --head intent --output labels.csv"""

from behavior_spark.cli.job import run_job

if __name__ == "__main__":
    run_job("check-labels")
