"""When sources are read: what is due by schedule and coverage, the embedded scheduler, and Airflow."""
