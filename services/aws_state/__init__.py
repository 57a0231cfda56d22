"""What a Region's S3, DynamoDB, SQS and KMS hold: moto, behind `services.aws`, in a process of its own."""
