"""spark-submit jobs/funnel.py --config conf/demo.yaml --as-of 2024-04-30"""

from behavior_spark.cli.job import run_job

if __name__ == "__main__":
    run_job("funnel")
