"""What speaks to Airflow: only here is it imported, where it runs."""
