"""spark-submit jobs/service_queue.py --config conf/demo.yaml --as-of 2024-05-30 -o queue.csv"""

from behavior_spark.cli.job import run_job

if __name__ == "__main__":
    run_job("service-queue")
