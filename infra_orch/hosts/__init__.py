"""What hosts of git repositories are asked and told: GitHub and GitLab. It knows texts and statuses, and no plans."""
