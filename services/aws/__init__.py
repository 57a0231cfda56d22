"""The front of a Region's S3, DynamoDB, SQS and KMS: TLS, who may, and by which way a request came."""
