"""spark-submit jobs/promote.py --config conf/demo.yaml"""

from behavior_spark.cli.job import run_job

if __name__ == "__main__":
    run_job("promote")
