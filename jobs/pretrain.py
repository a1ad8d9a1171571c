"""spark-submit jobs/pretrain.py --config conf/online_retail.yaml --as-of 2011-09-01"""

from behavior_spark.cli.job import run_job

if __name__ == "__main__":
    run_job("pretrain")
