mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "helm" {}

run "catalog" {
  assert {
    condition     = { for t, table in aws_glue_catalog_table.this : t => [for c in table.storage_descriptor[0].columns : [c.name, c.type, c.comment]] } == { for t, table in jsondecode(file("tables.json")) : t => [for c in table.columns : [c.name, c.type, c.comment]] }
    error_message = "tables have the registry's columns, types and comments, in its order"
  }
  assert {
    condition     = { for t, table in aws_glue_catalog_table.this : t => [for c in table.partition_keys : [c.name, c.type, c.comment]] } == { for t, table in jsondecode(file("tables.json")) : t => [for c in table.partition_keys : [c.name, c.type, c.comment]] } && alltrue([for table in aws_glue_catalog_table.this : [for c in table.partition_keys : c.name] == ["visit_date"]])
    error_message = "tables are partitioned by day"
  }
  assert {
    condition = { for t, table in aws_glue_catalog_table.this : t => table.storage_descriptor[0].location } == {
      visits          = "s3://${local.bucket_names["processing"]}/visits/"
      rejected_visits = "s3://${local.bucket_names["processing"]}/rejected_visits/"
      daily_metrics   = "s3://${local.bucket_names["consumer"]}/daily_metrics/"
      recommendations = "s3://${local.bucket_names["consumer"]}/recommendations/"
    }
    error_message = "tables lie where the pipeline publishes them"
  }
  assert {
    condition     = alltrue([for t, table in aws_glue_catalog_table.this : table.name == t && table.database_name == "pit_pipeline_test" && table.table_type == "EXTERNAL_TABLE" && table.parameters["classification"] == "parquet" && endswith(table.storage_descriptor[0].ser_de_info[0].serialization_library, "ParquetHiveSerDe") && endswith(table.storage_descriptor[0].input_format, "MapredParquetInputFormat") && endswith(table.storage_descriptor[0].output_format, "MapredParquetOutputFormat")])
    error_message = "tables are external Parquet under their own names"
  }
  assert {
    condition     = { for t, crawler in aws_glue_crawler.this : t => crawler.name } == { for t in keys(jsondecode(file("tables.json"))) : t => "pit_pipeline_test-${t}" }
    error_message = "there is a crawler per table, under the name that the pipeline's sensor starts"
  }
  assert {
    condition     = alltrue([for t, crawler in aws_glue_crawler.this : length(crawler.s3_target) == 0 && length(crawler.catalog_target) == 1 && crawler.catalog_target[0].tables == tolist([t]) && crawler.catalog_target[0].database_name == "pit_pipeline_test"])
    error_message = "a crawler works on its own declared table and makes none beside it"
  }
  assert {
    condition     = alltrue([for crawler in aws_glue_crawler.this : crawler.schema_change_policy[0].update_behavior == "LOG" && crawler.schema_change_policy[0].delete_behavior == "LOG" && crawler.recrawl_policy[0].recrawl_behavior == "CRAWL_EVERYTHING"])
    error_message = "crawlers only add"
  }
  assert {
    condition     = alltrue([for crawler in aws_glue_crawler.this : jsondecode(crawler.configuration).CrawlerOutput.Partitions.AddOrUpdateBehavior == "InheritFromTable" && jsondecode(crawler.configuration).Grouping.TableGroupingPolicy == "CombineCompatibleSchemas" && !jsondecode(crawler.configuration).CreatePartitionIndex])
    error_message = "partitions take the table's columns"
  }
  assert {
    condition     = alltrue([for crawler in aws_glue_crawler.this : crawler.schedule == null && crawler.security_configuration == aws_glue_security_configuration.this.name]) && aws_cloudwatch_log_group.crawlers.name == "/aws-glue/crawlers-role/${aws_iam_role.crawler.name}-${aws_glue_security_configuration.this.name}"
    error_message = "crawlers are started by the sensor alone and log, encrypted, into our group"
  }
  assert {
    condition     = alltrue([for t, crawler in aws_glue_crawler.this : crawler.tags["asset"] == t])
    error_message = "a crawler's cost is told by its asset"
  }
}

run "athena" {
  variables {
    query_scan_limit_gb = 7
  }

  assert {
    condition     = aws_athena_workgroup.this.configuration[0].enforce_workgroup_configuration
    error_message = "nobody overrides the workgroup's settings"
  }
  assert {
    condition     = aws_athena_workgroup.this.configuration[0].bytes_scanned_cutoff_per_query == 7000000000
    error_message = "a query that scans too much is stopped"
  }
  assert {
    condition     = aws_athena_workgroup.this.configuration[0].result_configuration[0].encryption_configuration[0].encryption_option == "SSE_KMS" && aws_athena_workgroup.this.configuration[0].result_configuration[0].encryption_configuration[0].kms_key_arn == aws_kms_key.data.arn
    error_message = "results are encrypted by the data key"
  }
  assert {
    condition     = aws_athena_workgroup.this.configuration[0].result_configuration[0].output_location == "s3://${local.bucket_names["athena-results"]}/results/"
    error_message = "results go where analysts may read them"
  }
  assert {
    condition     = aws_athena_workgroup.this.configuration[0].engine_version[0].selected_engine_version == "Athena engine version 3"
    error_message = "the engine's version is chosen, not AWS's latest"
  }
  assert {
    condition     = length(aws_athena_named_query.this) >= 4 && alltrue([for q in aws_athena_named_query.this : q.workgroup == aws_athena_workgroup.this.id && q.database == "pit_pipeline_test" && length(q.description) > 20])
    error_message = "analysts find the first questions in their workgroup, each said in words"
  }
}
