"""The way in and out over HTTP: notifications become events; submissions, runs, logs and files are served."""
